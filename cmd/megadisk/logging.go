package main

import (
	"fmt"
	"os"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"
)

// logger gives the program's log, on standard error; names, keys and content never reach it.
func (c *common) logger() (*logrus.Logger, error) {
	if c.log == nil {
		c.log = logrus.New()
		if err := c.setLog(); err != nil {
			c.log = nil
			return nil, err
		}
	}
	return c.log, nil
}

// setLog gives the log its level and format.
func (c *common) setLog() error {
	level, err := logrus.ParseLevel(c.logLevel)
	if err != nil {
		return usage("--log-level is error, warn, info, debug or trace, not %q", c.logLevel)
	}
	var format logrus.Formatter
	switch c.logFormat {
	case "text":
		format = &logrus.TextFormatter{FullTimestamp: true}
	case "json":
		format = &logrus.JSONFormatter{}
	default:
		return usage("--log-format is text or json, not %q", c.logFormat)
	}
	if toJournal() {
		format = journalFormat{format}
	}
	c.log.SetLevel(level)
	c.log.SetFormatter(format)
	return nil
}

// toJournal tells whether standard error goes to systemd's journal (see systemd.exec(5), JOURNAL_STREAM).
func toJournal() bool {
	var st unix.Stat_t
	return unix.Fstat(int(os.Stderr.Fd()), &st) == nil && os.Getenv("JOURNAL_STREAM") == fmt.Sprintf("%d:%d", st.Dev, st.Ino)
}

// journalFormat puts before each line its priority, as the journal reads it (sd-daemon(3)).
type journalFormat struct{ logrus.Formatter }

func (j journalFormat) Format(e *logrus.Entry) ([]byte, error) {
	priority := map[logrus.Level]int{logrus.PanicLevel: 2, logrus.FatalLevel: 2, logrus.ErrorLevel: 3, logrus.WarnLevel: 4, logrus.InfoLevel: 6}[e.Level]
	if priority == 0 {
		priority = 7
	}
	line, err := j.Formatter.Format(e)
	return append(fmt.Appendf(nil, "<%d>", priority), line...), err
}
