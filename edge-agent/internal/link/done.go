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
	"bytes"
	"slices"

	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/protocol/pb"
)

// expectation is the result after which nothing is left to do about a message of this
// session: what a Put brought is applied, or what a Delete named is removed.
type expectation struct {
	sequence uint64
	uid      string
	digest   object.Digest // not that of a Delete
	deleted  bool
}

func (e *expectation) fulfilledBy(result *pb.ApplyResult) bool {
	switch {
	case result.GetUid() != e.uid:
		return false
	case e.deleted:
		return result.GetState() == pb.ApplyState_APPLY_STATE_REMOVED
	default:
		return result.GetState() == pb.ApplyState_APPLY_STATE_APPLIED && bytes.Equal(result.GetDigest(), e.digest[:])
	}
}

// ranges are the sequences, which it sorts, as at most so many ranges; rest are those
// for which there is no room.
func ranges(sequences []uint64, most int) (ranges []*pb.SequenceRange, rest []uint64) {
	slices.Sort(sequences)
	for i, sequence := range sequences {
		if last := len(ranges) - 1; last >= 0 && ranges[last].Last+1 == sequence {
			ranges[last].Last = sequence
			continue
		}
		if len(ranges) == most {
			return ranges, sequences[i:]
		}
		ranges = append(ranges, &pb.SequenceRange{First: sequence, Last: sequence})
	}
	return ranges, nil
}
