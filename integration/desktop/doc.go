// Package desktop lets a file manager loose on a mount, in a screen that nobody sees, and takes pictures of it for the
// documentation. `make desktop` runs it; it is no part of the ordinary tests.
package desktop
