package fs

import (
	"io"
	"log"
	"regexp"
	"runtime/debug"

	"github.com/sirupsen/logrus"
)

// quoted is how go-fuse's messages show names and the first bytes of content.
var quoted = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)

// redacted passes go-fuse's messages on without names and content, which must never reach a log.
type redacted struct{ log logrus.FieldLogger }

func (r redacted) Write(p []byte) (int, error) {
	r.log.Debug(string(quoted.ReplaceAll(p, []byte(`"…"`))))
	return len(p), nil
}

func redactedLog(l logrus.FieldLogger) *log.Logger { return log.New(redacted{l}, "", 0) }

func quietLog() logrus.FieldLogger {
	l := logrus.New()
	l.SetOutput(io.Discard)
	return l
}

func stack() []byte { return debug.Stack() }
