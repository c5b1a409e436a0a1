package record

// Name is who made a change, in a word: the person behind sudo, else the login, else the
// automation that ran it.
func (a RowActor) Name() string {
	for _, s := range []*string{a.SudoUser, a.Login, a.Automation} {
		if s != nil && *s != "unset" && *s != "" {
			return *s
		}
	}
	return "unset"
}

// FoundLater says in words that a change was not recorded while it was made, empty if it was.
func (r *HistoryRow) FoundLater() string {
	switch r.Source {
	case "drift":
		return "found as drift"
	case "import":
		return "imported"
	}
	return ""
}

// Named is the package of a change with its version, and what else it must not be shown without.
func (r *HistoryRow) Named() string {
	name := r.Package + " " + r.Version
	if source := r.FoundLater(); source != "" {
		name += " (" + source + ")"
	}
	return name
}
