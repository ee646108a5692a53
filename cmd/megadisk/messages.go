package main

import (
	"megadisk/cmd/megadisk/internal/control"
)

// messages remembers what a person has been told, so that each thing is said once.
type messages struct {
	problem string
	full    bool
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
