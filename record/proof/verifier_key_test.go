package proof_test

import (
	"strings"
	"testing"

	"github.com/klp-audit/klp-audit/record/proof"
	"github.com/klp-audit/klp-audit/record/proof/prooftest"
)

// The error says what is wrong with a verifier key and quotes nothing of it.
func TestCheckVerifierKey(t *testing.T) {
	const good = "klp-audit/0123456789abcdef+5383b74f+ASxUOINKdQ9W3gKyy8b0pTvaVxjjZXqVlYRBGY4rIlDE"
	if err := proof.CheckVerifierKey(good); err != nil {
		t.Fatal(err)
	}
	if err := proof.CheckVerifierKey(prooftest.NewKey(t).Verifier); err != nil {
		t.Errorf("a record's own key: %v", err)
	}
	for key, want := range map[string]string{
		"":                                       "not a verifier key",
		"nonsense":                               "not a verifier key",
		"a+b+c":                                  "not a verifier key",
		"+5383b74f+ASxU":                         "not a verifier key",
		good + "\n":                              "not a verifier key",
		" " + good:                               "not a verifier key",
		"PRIVATE+KEY+" + good:                    "a private key",
		good[:len(good)-4]:                       "is it whole?",
		good[:len(good)-1]:                       "is it whole?",
		good + "AAAA":                            "is it whole?",
		strings.Replace(good, "+ASx", "+BSx", 1): "algorithm",
		strings.Replace(good, "ASxU", "ASxV", 1): "does not match",
		strings.Replace(good, "5383b", "5383a", 1): "does not match",
		strings.Replace(good, "cdef", "cdee", 1):   "does not match",
		strings.Replace(good, "5383b", "5383B", 1): "not written the way",
	} {
		err := proof.CheckVerifierKey(key)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "ASxU") {
			t.Errorf("%q: %v, want %s", key, err, want)
		}
	}
}
