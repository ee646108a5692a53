package megaclient

import (
	"encoding/json"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

// FuzzTreeReader: what is valid JSON is taken apart as the library does it, however it comes.
func FuzzTreeReader(f *testing.F) {
	for _, s := range []string{`[]`, `[1, "a\"]\\", {"x":[{}]} ,null,-1.5e3 ]`, "[\t\"\\\\\" , [\"}\"] ]", `7`, `[1 2]`, `["\`, `[,]`, `[1,]`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, r := range []io.Reader{strings.NewReader(s), iotest.OneByteReader(strings.NewReader(s))} {
			var got []json.RawMessage
			err := newTreeReader(r).elements(func(raw json.RawMessage) error {
				got = append(got, append(json.RawMessage(nil), raw...))
				return nil
			})
			var want []json.RawMessage
			if json.Unmarshal([]byte(s), &want) != nil || json.Valid([]byte(s)) && !strings.HasPrefix(strings.TrimLeft(s, " \n\t\r"), "[") {
				continue // refused, or an element is, by who decodes it
			}
			if err != nil {
				require.ErrorIs(t, err, ErrBadAnswer) // nested too deeply
				continue
			}
			require.Len(t, got, len(want))
			for i := range want {
				require.Equal(t, string(want[i]), string(got[i]))
			}
		}
	})
}
