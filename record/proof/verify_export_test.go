package proof_test

import (
	"bytes"
	"testing"

	"github.com/klp-audit/klp-audit/record/proof"
)

func FuzzVerifyExport(f *testing.F) {
	f.Add([]byte(`{"export":"klp-audit/export/1","since":0,"tree":[],"key":""}` + "\n" + `{"checkpoint":"x"}` + "\n"))
	f.Add([]byte(`{"export":"klp-audit/export/1","since":3,"tree":["AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="],"key":"k"}` +
		"\n" + `{"seq":4,"hash":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","event":{}}` + "\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := proof.VerifyExport(t.Context(), bytes.NewReader(b), "", "o\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n")
		if err == nil && v.Result == proof.Intact {
			t.Errorf("%q is signed by nobody, and intact", b)
		}
	})
}
