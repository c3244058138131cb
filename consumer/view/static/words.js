// Numbers as people say them.

export function duration(seconds) {
  if (seconds < 10) return `${Math.max(0, seconds).toFixed(0)} s`;
  if (seconds < 120) return `${seconds.toFixed(0)} s`;
  if (seconds < 7200) return `${(seconds / 60).toFixed(0)} min`;
  if (seconds < 172800) return `${(seconds / 3600).toFixed(0)} h`;
  return `${(seconds / 86400).toFixed(0)} days`;
}

export function milliseconds(ms) {
  if (ms === null) return "–";
  return Math.abs(ms) < 10000 ? `${ms} ms` : `${(ms / 1000).toFixed(1)} s`;
}

export function percent(share) {
  return `${Math.round(share * 100)} %`;
}

// With a sign and always as wide: +0.42, −0.10.
export function signed(value) {
  return (value <= -0.005 ? "−" : "+") + Math.abs(value).toFixed(2);
}

// How a point of the plane feels, for those who do not see it.
export function feeling([valence, arousal]) {
  const side = (value, low, high) => (value > 0.15 ? high : value < -0.15 ? low : "");
  const words = [side(valence, "unpleasant", "pleasant"), side(arousal, "calm", "excited")];
  return words.filter(Boolean).join(", ") || "neutral";
}
