package megaclient

import (
	"encoding/json"
	"io"
	"testing"

	"github.com/sirupsen/logrus"
	"github.com/sirupsen/logrus/hooks/test"
	"github.com/stretchr/testify/require"
)

func TestTracedEventsShowNoSecrets(t *testing.T) {
	const secret = "SECRETSECRETSECRETSECRET"
	for in, want := range map[string]string{
		`{"a":"t","i":"abcdefghij","t":{"f":[{"h":"HANDLE01","p":"PARENT01","u":"UUUUUUUUUUU","t":0,"a":"` + secret + `","k":"UUUUUUUUUUU:` + secret + `","s":5,"ts":7,"fa":"1:0*` + secret + `"}],"u":[{"u":"UUUUUUUUUUU","m":"ann@example.com"}]},"ou":"UUUUUUUUUUU"}`: `{"a":"t","i":"abcdefghij","ou":"UUUUUUUUUUU","t":{"f":[{"a":"(24 characters)","fa":"(28 characters)","h":"HANDLE01","k":"(36 characters)","p":"PARENT01","s":5,"t":0,"ts":7,"u":"UUUUUUUUUUU"}],"u":[{"m":"(15 characters)","u":"UUUUUUUUUUU"}]}}`,
		`{"a":"u","n":"HANDLE01","at":"` + secret + `"}`:                  `{"a":"u","at":"(24 characters)","n":"HANDLE01"}`,
		`{"a":"c","u":[{"u":"UUUUUUUUUUU","c":1,"m":"ann@example.com"}]}`: `{"a":"c","u":[{"c":1,"m":"(15 characters)","u":"UUUUUUUUUUU"}]}`,
		`{"a":"se","u":"UUUUUUUUUUU","e":"ann@example.com","s":3}`:        `{"a":"se","e":"(15 characters)","s":3,"u":"UUUUUUUUUUU"}`,
		`{"a":"d","n":"HANDLE01","m":1}`:                                  `{"a":"d","m":1,"n":"HANDLE01"}`,
		`{"a":"s2","n":"` + secret + `","k":"x","` + secret + `":1}`:      `{"?":1,"a":"s2","k":"(1 characters)","n":"(24 characters)"}`,
		`{"a":"a name, with spaces","n":["` + secret + `"]}`:              `{"a":"(19 characters)","n":["(24 characters)"]}`,
		`"` + secret + `"`: `(26 bytes that are no object)`,
		`{"a":7}`:          `{"a":7}`,
	} {
		require.Equal(t, want, redactEvent(json.RawMessage(in)))
	}

	log, hook := test.NewNullLogger()
	c := &Client{log: log}
	raws := []json.RawMessage{json.RawMessage(`{"a":"d","n":"HANDLE01"}`)}
	c.traceEvents(raws)
	require.Empty(t, hook.AllEntries(), "nobody asked")
	log.SetLevel(logrus.TraceLevel)
	c.traceEvents(raws)
	require.Equal(t, `{"a":"d","n":"HANDLE01"}`, hook.LastEntry().Data["event"])
	c.log = log.WithField("x", 1)
	c.traceEvents(raws)
	require.Len(t, hook.AllEntries(), 2)
	log.SetOutput(io.Discard)
}
