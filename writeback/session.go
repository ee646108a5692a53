package writeback

import (
	"megadisk/megaclient"
	"megadisk/writeback/tree"
)

// session is the time from the first handle that is open for writing on a file
// to the last. Of the versions that are made meanwhile, each replaces the one
// before, so that one is left: see spent. All of it is guarded by the mu of the
// file's state.
type session struct {
	froze   bool              // content was frozen while it went on
	version megaclient.Handle // the last one that was made of such content
}

// made notes the version that frozen content has become.
func (s *session) made(h megaclient.Handle) {
	if s != nil {
		s.version = h
	}
}

// beginSession: the first handle was opened, or all of the content is about to be replaced. What an earlier session has yet to
// send goes up with this one's.
func (e *Engine) beginSession(st *fileState) {
	e.forgetSession(st.ino)
	st.session = &session{}
}

// endSession: the last handle is closed. If there is a version, and content that
// came later, that is the session's last.
func (e *Engine) endSession(st *fileState) {
	s := st.session
	st.session = nil
	if s == nil || !s.froze {
		return
	}
	d, dirty := e.queue.get(st.ino)
	if st.content || dirty && d.entry.Content > 0 && (d.gen == nil || d.entry.Content != d.gen.Content) {
		e.filesMu.Lock()
		e.sessions[st.ino] = s
		e.filesMu.Unlock()
	}
}

// joinSession tells a generation which version it makes superfluous.
func (e *Engine) joinSession(st *fileState, g *generation) {
	s := st.session
	if s == nil {
		e.filesMu.Lock()
		s = e.sessions[st.ino]
		delete(e.sessions, st.ino)
		e.filesMu.Unlock()
	}
	if s == nil {
		return
	}
	g.Thins = s.version
	if st.writers > 0 {
		s.froze, g.session = true, s
	}
}

func (e *Engine) forgetSession(ino tree.Ino) {
	e.filesMu.Lock()
	delete(e.sessions, ino)
	e.filesMu.Unlock()
}
