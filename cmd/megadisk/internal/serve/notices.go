package serve

import "slices"

// Notice tells of something that isn't as it was asked for, and that no mount depends on: in the log, and in the status for as
// long as the process lives.
func (p *Process) Notice(sentence string) {
	p.o.Log.Warn(sentence)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.notices = append(p.notices, sentence)
}

func (p *Process) listNotices() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.notices)
}
