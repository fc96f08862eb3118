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

import (
	"fmt"

	"github.com/edgesync/edgesync/internal/protocol/pb"
)

// phase is how far the conversation has come.
type phase int

const (
	// awaitingWelcome: only a Welcome may come.
	awaitingWelcome phase = iota
	// greeted: the hub has not yet shown whether it wants the inventory. Apply results
	// wait, since the hub may not know the objects that they are about.
	greeted
	// open: everything but another Welcome may come.
	open
)

// after is the phase that follows when message arrives.
func (p phase) after(message *pb.HubMessage) (phase, error) {
	_, welcome := message.GetBody().(*pb.HubMessage_Welcome)
	_, inventory := message.GetBody().(*pb.HubMessage_NeedInventory)
	_, drain := message.GetBody().(*pb.HubMessage_Drain)
	_, info := message.GetBody().(*pb.HubMessage_HubInfo)
	switch {
	case welcome && p == awaitingWelcome:
		return greeted, nil
	case welcome:
		return p, fmt.Errorf("%w: a second Welcome", errProtocol)
	case drain:
		return p, nil
	case p == awaitingWelcome:
		return p, fmt.Errorf("%w: %T before Welcome", errProtocol, message.GetBody())
	case info:
		return p, nil
	case inventory && p == open:
		return p, fmt.Errorf("%w: a late NeedInventory", errProtocol)
	default:
		return open, nil
	}
}
