package serve

import (
	"sync"
	"time"
)

// transferQuota remembers until when the server said that there is no transfer quota.
type transferQuota struct {
	mu   sync.Mutex
	back time.Time // GUARDED_BY(mu)
}

func (q *transferQuota) usedUp(until time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.back = until
}

func (q *transferQuota) until() time.Time {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.back
}
