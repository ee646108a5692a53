package main

import (
	"bytes"
	"testing"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"
)

func TestJournalReadsPriorities(t *testing.T) {
	var out bytes.Buffer
	log := logrus.New()
	log.SetOutput(&out)
	log.SetLevel(logrus.TraceLevel)
	log.SetFormatter(journalFormat{&logrus.JSONFormatter{}})
	for level, want := range map[logrus.Level]string{
		logrus.ErrorLevel: "<3>{", logrus.WarnLevel: "<4>{", logrus.InfoLevel: "<6>{", logrus.DebugLevel: "<7>{", logrus.TraceLevel: "<7>{",
	} {
		out.Reset()
		log.Log(level, "text")
		require.Equal(t, want, out.String()[:4], level)
	}
}
