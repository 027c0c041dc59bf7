/** `0.4 s`, `12 s`, `1 min 5 s`, `2 h 3 min`, `3 d 4 h`. */
export function duration(ms: number): string {
  const seconds = ms / 1000
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`
  const whole = Math.round(seconds)
  if (whole < 60) return `${whole} s`
  if (whole < 3600) return pair(whole, 60, 'min', 1, 's')
  if (whole < 86_400) return pair(whole, 3600, 'h', 60, 'min')
  return pair(whole, 86_400, 'd', 3600, 'h')
}

function pair(seconds: number, large: number, largeName: string, small: number, smallName: string): string {
  const first = Math.floor(seconds / large)
  const second = Math.floor((seconds % large) / small)
  return second === 0 ? `${first} ${largeName}` : `${first} ${largeName} ${second} ${smallName}`
}

/** How long ago: `just now`, `5 min ago`; `in 5 min` for a time to come. */
export function age(then: Date, now: Date): string {
  const ms = now.getTime() - then.getTime()
  if (Math.abs(ms) < 1000) return 'just now'
  const text = duration(Math.round(Math.abs(ms) / 1000) * 1000).replace(/\.0 s$/, ' s')
  return ms < 0 ? `in ${text}` : `${text} ago`
}
