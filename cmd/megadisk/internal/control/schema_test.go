package control

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// fieldsOf lists the fields of a type with what programs find in them.
func fieldsOf(prefix string, t reflect.Type, into map[string]string) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, flags, _ := strings.Cut(f.Tag.Get("json"), ",")
		kind, key := f.Type, prefix+name
		optional := ""
		if strings.Contains(flags, "omit") {
			optional = ", may be missing"
		}
		if kind.Kind() == reflect.Pointer {
			kind = kind.Elem()
		}
		switch {
		case kind == reflect.TypeFor[time.Time]():
			into[key] = "time" + optional
		case kind.Kind() == reflect.Struct:
			into[key] = "object" + optional
			fieldsOf(key+".", kind, into)
		case kind.Kind() == reflect.Slice && kind.Elem().Kind() == reflect.Struct:
			into[key] = "array" + optional
			fieldsOf(key+"[].", kind.Elem(), into)
		case kind.Kind() == reflect.Slice:
			into[key] = "array" + optional
		default:
			into[key] = map[reflect.Kind]string{reflect.String: "text", reflect.Bool: "true or false", reflect.Int: "number", reflect.Int64: "number"}[kind.Kind()] + optional
		}
	}
}

func TestStatusIsAsDocumented(t *testing.T) {
	page, err := os.ReadFile("../../../../docs/STATUS.md")
	require.NoError(t, err)
	documented := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\| ([^|]+) \\| [^|]+ \\|$").FindAllStringSubmatch(string(page), -1) {
		documented[m[1]] = m[2]
	}
	fields := map[string]string{}
	fieldsOf("", reflect.TypeFor[Status](), fields)
	require.Equal(t, fields, documented, "docs/STATUS.md has a row for each field of control.Status, with its type")
}
