package audit

import "time"

func TextOf[T ~string](s *T) string {
	if s == nil {
		return ""
	}
	return string(*s)
}

func Day(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, t.Location())
}
