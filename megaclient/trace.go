package megaclient

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/sirupsen/logrus"
)

// What a log of level trace shows of the events: their shape, with numbers and handles, and nothing that could be a
// name, a key, an address or content. Only what is known to be harmless is shown.

// shownTexts are the fields whose text is shown, if it looks like a handle or a tag.
var shownTexts = map[string]bool{"i": true, "st": true, "n": true, "h": true, "p": true, "u": true, "ou": true, "o": true}

const maxShown = 16 // characters

// traceEvents logs events, if anybody wants that.
func (c *Client) traceEvents(raws []json.RawMessage) {
	if !tracing(c.log) {
		return
	}
	for _, raw := range raws {
		c.log.(logrus.Ext1FieldLogger).WithField("event", redactEvent(raw)).Trace("an event of the stream")
	}
}

func tracing(log logrus.FieldLogger) bool {
	switch l := log.(type) {
	case *logrus.Logger:
		return l.IsLevelEnabled(logrus.TraceLevel)
	case *logrus.Entry:
		return l.Logger.IsLevelEnabled(logrus.TraceLevel)
	}
	return false
}

// redactEvent gives an event as it may be logged.
func redactEvent(raw json.RawMessage) string {
	var event map[string]any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&event); err != nil {
		return fmt.Sprintf("(%d bytes that are no object)", len(raw))
	}
	kind, isText := event["a"].(string)
	shown, _ := redactValue("", event).(map[string]any)
	if isText && isShort(kind) {
		shown["a"] = kind
	}
	text, err := json.Marshal(shown)
	if err != nil {
		return "(not to be shown)"
	}
	return string(text)
}

func redactValue(key string, v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, inner := range v {
			if !isShort(k) {
				k = "?"
			}
			out[k] = redactValue(k, inner)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, inner := range v {
			out[i] = redactValue("", inner)
		}
		return out
	case string:
		if shownTexts[key] && isShort(v) {
			return v
		}
		return fmt.Sprintf("(%d characters)", len(v))
	}
	return v // numbers, true, false, null
}

// isShort tells whether a text can be a handle, a tag or a field's name.
func isShort(s string) bool {
	return len(s) <= maxShown && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == ""
}
