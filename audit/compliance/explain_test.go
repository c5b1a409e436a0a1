package compliance

import (
	"slices"
	"strings"
	"testing"
)

// isExplained says whether a check is said to be able to come to a result. The profile may have made a warning of what fails.
func isExplained(p *Profile, id string, result Rating) bool {
	r, _ := RuleOf(id)
	results := r.Explain().Results
	return results[result] != "" || result == Warn && p.Criteria[id].Severity == Warn && results[Fail] != ""
}

// Every check says what it asks, what its results mean, and what each of its settings does.
func TestChecksExplainThemselves(t *testing.T) {
	if len(explanations) != len(Rules()) {
		t.Errorf("%d explanations of %d checks", len(explanations), len(Rules()))
	}
	for _, r := range Rules() {
		e := r.Explain()
		if !strings.Contains(e.Asks, "?") || e.Results[Pass] == "" {
			t.Errorf("%s: asks %q, pass means %q", r.ID, e.Asks, e.Results[Pass])
		}
		for result, means := range e.Results {
			if !slices.Contains(Ratings(), result) || !strings.HasSuffix(means, ".") {
				t.Errorf("%s: %s means %q", r.ID, result, means)
			}
		}
		if len(e.Means) != len(r.settings) {
			t.Errorf("%s: has the settings %v, and explains %v", r.ID, r.settings, e.Means)
		}
		for _, name := range r.Settings() {
			if name != "severity" && !strings.HasSuffix(e.Means[name], ".") {
				t.Errorf("%s: %s means %q", r.ID, name, e.Means[name])
			}
			if profile(t, DefaultProfile).Criteria[r.ID].Setting(name) == "" {
				t.Errorf("%s: %s has no value", r.ID, name)
			}
		}
	}
}
