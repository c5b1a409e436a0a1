package view

// glob says whether a text matches a pattern by the rules of SQLite's GLOB: * is any text, ? any
// character, [abc], [a-c] and [^abc] one of a set, or one outside it. A ] that comes first belongs
// to the set; a set without an end matches nothing.
func glob(pattern, text string) bool {
	p, s := []rune(pattern), []rune(text)
	star, retry := -1, 0 // where to resume if what follows the last * does not match here
	i, j := 0, 0
	for j < len(s) || i < len(p) {
		switch width := 0; {
		case i < len(p) && p[i] == '*':
			star, retry, i = i, j+1, i+1
			continue
		case i < len(p) && j < len(s) && fits(p[i:], s[j], &width):
			i, j = i+width, j+1
			continue
		}
		if star < 0 || retry > len(s) {
			return false
		}
		i, j, retry = star+1, retry, retry+1
	}
	return true
}

// fits says whether a character matches the start of a pattern, and sets how wide that is.
func fits(p []rune, c rune, width *int) bool {
	*width = 1
	switch p[0] {
	case '?':
		return true
	case '[':
		return fitsSet(p, c, width)
	}
	return p[0] == c
}

func fitsSet(p []rune, c rune, width *int) (in bool) {
	i, inverted := 1, false
	if i < len(p) && p[i] == '^' {
		i, inverted = i+1, true
	}
	before := rune(0) // possible start of a range
	for first := i; i < len(p); i++ {
		switch {
		case p[i] == ']' && i > first:
			*width = i + 1
			return in != inverted
		case p[i] == '-' && before > 0 && i+1 < len(p) && p[i+1] != ']':
			i++
			in, before = in || before <= c && c <= p[i], 0
		default:
			in = in || p[i] == c
			if before = p[i]; i == first && before == ']' {
				before = 0 // SQLite does not start a range with it
			}
		}
	}
	return false
}
