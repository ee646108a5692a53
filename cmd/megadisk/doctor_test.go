package main

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"megadisk/cmd/megadisk/internal/control"
)

// Whatever a status tells, a bundle has no names of it.
func TestARedactedStatusHasNoNames(t *testing.T) {
	const secret = "secret"
	var st control.Status
	fill(reflect.ValueOf(&st).Elem(), secret)
	for _, n := range []int{len(st.Mounts), len(st.Pending.Items), len(st.HereOnly.Items), len(st.Interrupted), len(st.Transfer), len(st.Pinned)} {
		require.Equal(t, 1, n)
	}
	st.Host, st.Pending.Items[0].What = "api", "new" // are no secret
	text, err := json.Marshal(redacted(st, strings.NewReplacer(secret, "NAME")))
	require.NoError(t, err)
	require.NotContains(t, string(text), secret)
}

// fill puts text into each string of v, and one thing into each list.
func fill(v reflect.Value, text string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), text)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fill(v.Field(i), text)
			}
		}
	}
}
