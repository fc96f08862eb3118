/*
Copyright 2026 The edgesync Authors.

Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and
limitations under the License.
*/

package link

import "time"

// Status is where a Link stands.
type Status struct {
	// Hub is the address that is dialled or connected.
	Hub string `json:"hub"`
	// Connected says that the hub has welcomed this node and the session lasts, since Since.
	Connected bool      `json:"connected"`
	Since     time.Time `json:"since,omitzero"`
	// Complete says that the hub has sent, in this session, all that the node should
	// hold, and that the store could take it; CompletedAt is when the hub last said so in
	// any session of this process.
	Complete    bool      `json:"complete"`
	CompletedAt time.Time `json:"completedAt,omitzero"`
	// LastError is why there is no session, and NextAttempt when the next one is tried.
	LastError   string    `json:"lastError,omitempty"`
	NextAttempt time.Time `json:"nextAttempt,omitzero"`
	// StoreError is why the store could not take something that the hub sent, until the
	// hub has sent it again and everything is stored.
	StoreError string `json:"storeError,omitempty"`
	// HubInfoError is why the agent could not take over what the hub last said of its
	// addresses and its CA.
	HubInfoError string `json:"hubInfoError,omitempty"`
}

func (l *Link) lasted() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.status.Connected {
		return 0
	}
	return time.Since(l.status.Since)
}

func (l *Link) connected(hub, session string) {
	l.counts.sessions.Add(1)
	l.mu.Lock()
	l.status = Status{
		Hub: hub, Connected: true, Since: time.Now(),
		CompletedAt: l.status.CompletedAt, StoreError: l.status.StoreError,
	}
	clear(l.logged)
	l.mu.Unlock()
	l.config.Log.Info("Connected", "hub", hub, "session", session)
}

// completed takes over that the hub has sent all that the node should hold.
func (l *Link) completed() {
	l.mu.Lock()
	first := !l.status.Complete
	l.status.Complete, l.status.CompletedAt = true, time.Now()
	l.status.StoreError = ""
	l.mu.Unlock()
	if first {
		l.config.Log.Info("Received all that this node should hold")
	}
}

// storeFailed takes over that the store could not take what the hub sent. The next
// Bookmark comes when the hub has sent it again.
func (l *Link) storeFailed(err error) {
	message := oneLine(err.Error())
	l.mu.Lock()
	changed := l.status.StoreError != message
	l.status.StoreError, l.status.Complete = message, false
	l.mu.Unlock()
	if changed {
		l.config.Log.Error(err, "Cannot store what the hub says; it will say it again")
	}
}

// hubInfoTaken takes over what became of a HubInfo.
func (l *Link) hubInfoTaken(err error) {
	message := ""
	if err != nil {
		message = oneLine(err.Error())
	}
	l.mu.Lock()
	changed := l.status.HubInfoError != message
	l.status.HubInfoError = message
	l.mu.Unlock()
	if changed && err != nil {
		l.config.Log.Error(err, "Cannot take over what the hub says of its addresses and its CA")
	}
}

// disconnected takes over how the attempt at hub ended, and when next will be tried.
func (l *Link) disconnected(end ending, hub, next string, at time.Time) {
	reason := oneLine(end.err.Error())
	l.mu.Lock()
	wasConnected, since := l.status.Connected, l.status.Since
	if wasConnected {
		since = time.Now()
	}
	l.status = Status{
		Hub: next, Since: since, LastError: reason, NextAttempt: at,
		CompletedAt: l.status.CompletedAt, StoreError: l.status.StoreError, HubInfoError: l.status.HubInfoError,
	}
	repeated := l.logged[hub] == reason
	l.logged[hub] = reason
	l.mu.Unlock()

	log := l.config.Log.WithValues("hub", hub, "nextAttempt", at.Format(time.RFC3339))
	switch {
	case end.cause == reconnecting:
		log.Info("Reconnecting")
	case repeated:
		log.V(1).Info("Still not connected", "reason", reason)
	case end.cause == refused || end.cause == superseded:
		log.Error(nil, "Not connected", "reason", reason)
	case wasConnected:
		log.Info("Disconnected", "reason", reason)
	default:
		log.Info("Cannot connect", "reason", reason)
	}
}
