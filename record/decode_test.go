package record

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"
)

// An event is decoded as encoding/json decodes it, whatever it says.
func TestDecodedAlike(t *testing.T) {
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 17))
		kinds := EventKinds()
		kind := kinds[r.IntN(len(kinds))]
		var ev Event
		for i := range reflect.TypeFor[Event]().NumField() {
			f := reflect.TypeFor[Event]().Field(i)
			if f.Anonymous || f.Tag.Get("json") == payloadKeys[kind]+",omitempty" {
				randomize(r, reflect.ValueOf(&ev).Elem().Field(i), 0)
			}
		}
		ev.V, ev.Kind, ev.ID = 1, kind, fmt.Sprint("id-", seed)
		body, err := Encode(&ev)
		if err != nil {
			t.Fatal(err)
		}
		var want Event
		if err := json.Unmarshal(body, &want); err != nil {
			t.Fatal(err)
		}
		got, err := Decode(body)
		if err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		if !reflect.DeepEqual(want, *got) {
			t.Fatalf("%s: read as\n%+v, encoding/json reads\n%+v", body, got, want)
		}
	}
}

// randomize sets a value to anything.
func randomize(r *rand.Rand, v reflect.Value, depth int) {
	switch v.Interface().(type) {
	case Timestamp:
		v.Set(reflect.ValueOf(At(time.Unix(r.Int64N(1e10), r.Int64N(1e6)*1000))))
		return
	case json.RawMessage:
		v.SetBytes([]byte([]string{`null`, `{"a":[1,2.5,{}],"b":"\u00e9"}`, `[]`, `"x"`, `-1`, `true`}[r.IntN(6)]))
		return
	}
	switch n := r.IntN(4); v.Kind() {
	case reflect.Pointer:
		if payload := depth == 0; payload || n > 0 && depth < 8 {
			v.Set(reflect.New(v.Type().Elem()))
			randomize(r, v.Elem(), depth+1)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).Tag.Get("json") != "-" {
				randomize(r, v.Field(i), depth+1)
			}
		}
	case reflect.Slice:
		if n > 0 && depth < 8 {
			v.Set(reflect.MakeSlice(v.Type(), n-1, n))
			for i := range n - 1 {
				randomize(r, v.Index(i), depth+1)
			}
		}
	case reflect.Map:
		if n > 0 && depth < 8 {
			v.Set(reflect.MakeMap(v.Type()))
			for i := range n - 1 {
				element := reflect.New(v.Type().Elem()).Elem()
				randomize(r, element, depth+1)
				v.SetMapIndex(reflect.ValueOf([]string{"Key \" ", "é"}[i%2]).Convert(v.Type().Key()), element)
			}
		}
	case reflect.String:
		v.SetString([]string{"", "plain", "<a & b>", "line\nquote\"back\\ é 猫 \u2028 \U0001f431"}[n])
	case reflect.Bool:
		v.SetBool(n > 1)
	case reflect.Int, reflect.Int64:
		v.SetInt([]int64{0, 7, -9007199254740993, 9223372036854775807}[n])
	case reflect.Uint64:
		v.SetUint([]uint64{0, 7, 9007199254740993, 18446744073709551615}[n])
	case reflect.Float64:
		v.SetFloat([]float64{0, 1.5, -2e-7, 1e300}[n])
	default:
		panic(v.Type())
	}
}
