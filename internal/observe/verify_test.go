package observe

import (
	"reflect"
	"strings"
	"testing"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/proof"
)

// The part of an observation begins with the published form of a verification, byte for byte.
func TestVerificationFitsThePart(t *testing.T) {
	v := proof.Verification{
		Result: proof.Altered, TreeSize: 7, RootHash: "h", FirstTime: new(record.Timestamp), LastTime: new(record.Timestamp), Checkpoint: "c", Key: "k",
		Keys: []record.VerifiedKey{{Key: "k", Event: 5, Signed: new(true)}, {Key: "l"}}, Problems: []string{"p"},
	}
	for i := range reflect.TypeFor[proof.Verification]().NumField() {
		f := reflect.TypeOf(v).Field(i)
		if shown := f.IsExported() && f.Tag.Get("json") != "-"; shown && reflect.ValueOf(v).Field(i).IsZero() {
			t.Errorf("%s is not looked at", f.Name)
		}
	}
	for _, v := range []proof.Verification{v, {}} {
		verified := Verified{Verification: &v, Checkpoints: 6, Unread: "u", KeyUnread: "x"}
		want := strings.TrimSuffix(asJSON(t, v), "}") + `,"checkpoints":6,"unread":"u","key_unread":"x"}`
		if got := asJSON(t, verified.part()); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}
