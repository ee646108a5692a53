package writeback

import (
	"encoding/binary"

	"github.com/stretchr/testify/require"

	"megadisk/writeback/tree"
)

// scribbled has something done while an inode's row can't be read.
func (m *mount) scribbled(ino tree.Ino, do func()) {
	m.t.Helper()
	row := binary.BigEndian.AppendUint64([]byte{'i'}, uint64(ino))
	var whole []byte
	m.setRow(row, func(raw []byte) []byte { whole = raw; return []byte("scribble") })
	do()
	m.setRow(row, func([]byte) []byte { return whole })
}

// setRow changes a row of the database behind everybody's back.
func (m *mount) setRow(row []byte, to func(raw []byte) []byte) {
	m.t.Helper()
	require.NoError(m.t, m.engine.update(m.ctx, func(c *change) error {
		item, err := c.b.Get(row)
		if err != nil {
			return err
		}
		raw, err := item.ValueCopy(nil)
		if err != nil {
			return err
		}
		return c.b.Set(row, to(raw))
	}))
}
