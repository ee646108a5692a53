// Package megaclient speaks the protocol of MEGA's cloud storage.
package megaclient
