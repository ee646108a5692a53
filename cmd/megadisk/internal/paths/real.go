package paths

import (
	"fmt"
	"path/filepath"
)

// Real returns the absolute path of a file or folder as the kernel lists it, symbolic links followed. What is in the
// way of following them (nothing there, a mount that died) leaves the rest of the path as it is.
func Real(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("finding the working directory: %w", err)
	}
	if real, err := filepath.EvalSymlinks(abs); err == nil {
		return real, nil
	}
	dir := filepath.Dir(abs)
	if dir == abs {
		return abs, nil
	}
	if dir, err = Real(dir); err != nil {
		return "", err
	}
	return filepath.Join(dir, filepath.Base(abs)), nil
}
