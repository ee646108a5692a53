package serve

import "context"

// Retry asks the cloud at once for what it has refused.
func (p *Process) Retry(context.Context) error {
	p.engine.Retry()
	return nil
}

// Pause stops sending until Resume, or until the process ends.
func (p *Process) Pause(context.Context) error {
	p.engine.Pause()
	return nil
}

// Resume ends Pause.
func (p *Process) Resume(context.Context) error {
	p.engine.Resume()
	return nil
}

// Approve lets the deletions go that the brake holds back.
func (p *Process) Approve(ctx context.Context) (int, error) { return p.engine.Approve(ctx) }

// Revert brings back here what they took away.
func (p *Process) Revert(ctx context.Context) (int, error) { return p.engine.Revert(ctx) }
