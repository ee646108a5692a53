package main

import (
	"fmt"
	"path"

	"megadisk/cmd/megadisk/internal/control"
)

// messages remembers what a person has been told, so that each thing is said once.
type messages struct {
	problem string
	full    bool
	seen    uint64 // number of the last happening that was looked at
}

// news is what a person should be told now; "" if there is nothing new.
func (m *messages) news(st control.Status) string {
	problem, full := st.Problem, st.Quota.Total > 0 && st.Quota.Used >= st.Quota.Total
	before := *m
	m.problem, m.full = problem, full
	switch {
	case problem != "" && problem != before.problem:
		return problem
	case full && !before.full:
		return "the account is full: changes wait on this machine until there is room in the cloud"
	}
	return ""
}

// conflicts is what a person should be told of files that were changed here and elsewhere; "" if there are none.
func conflicts(list []control.Happening) string {
	switch len(list) {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf("%s was changed here and elsewhere: what is from here is now %s", list[0].More, path.Base(list[0].Path))
	}
	return fmt.Sprintf("%d files were changed here and elsewhere: `megadisk log` says which", len(list))
}
