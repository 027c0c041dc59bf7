const unitMs = {ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000} as const

export const durationPattern = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/

/** Milliseconds of a text such as `500ms`, `2s`, `15m`, `1h`, `7d`. The text must match `durationPattern`. */
export function durationMs(text: string): number {
  const match = durationPattern.exec(text)
  if (!match) throw new RangeError(`Not a duration: ${text}`)
  return Number(match[1]) * unitMs[match[2] as keyof typeof unitMs]
}
