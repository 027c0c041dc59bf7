const MASK = '***'
const secrets = new Set<string>()

/** Hiding these wherever they stand would take the sense out of every text, and break a journal that a resume reads. */
const ordinary = new Set(['admin', 'development', 'false', 'localhost', 'none', 'null', 'password', 'postgres', 'postgresql', 'production', 'public', 'root', 'secret', 'staging', 'test', 'true', 'user'])

/** From now on `redact` hides this value, plain and percent-encoded; but not one below four characters, nor an ordinary word. */
export function registerSecret(value: string | undefined): void {
  if (value === undefined || value.length < 4 || ordinary.has(value.toLowerCase())) return
  secrets.add(value)
  secrets.add(encodeURIComponent(value))
}

/**
 * Registers the password of a URL as it stands and decoded. A password that is also the name of the user, the host or the
 * database (`postgres:postgres@`) is hidden inside URLs only: it is an ordinary word elsewhere.
 */
export function registerSecretUrl(url: string | undefined): void {
  const parts = url !== undefined && URL.canParse(url) ? new URL(url) : undefined
  if (!parts) return
  const secretParameters = [...parts.searchParams].filter(([name]) => /password/i.test(name)).map(([, value]) => value)
  for (const secret of [parts.password, ...secretParameters]) {
    if ([parts.username, parts.hostname, parts.pathname.slice(1)].includes(secret)) continue
    registerSecret(secret)
    registerSecret(decoded(secret))
  }
}

/** Variables that hold secrets by their nature. */
export function registerSecretVariables(env: NodeJS.ProcessEnv): void {
  for (const [name, value] of Object.entries(env)) {
    if (/(PASSWORD|PASSWD|SECRET|TOKEN|ENCRYPTION_KEY|ACCESS_KEY)$/i.test(name) || /SECRET_ACCESS_KEY|SECRET_KEY/i.test(name)) registerSecret(value)
    else if (/_URL$/i.test(name)) registerSecretUrl(value)
  }
}

/** For tests. */
export const forgetSecrets = (): void => { secrets.clear() }

/** The text with every known secret, and whatever looks like a password in a URL or a connection string, replaced by `***`. */
export function redact(text: string): string {
  let clean = text
  for (const secret of [...secrets].sort((a, b) => b.length - a.length)) clean = clean.replaceAll(secret, MASK)
  return clean
    .replaceAll(/\b([a-z][a-z\d+.-]*:\/\/)[^\s/?#'"@:]*((?::(?!\d+\/)[^\s'"]*)?)@/gi, maskedAuthority)
    .replaceAll(/\b((?:ssl)?password|passwd|secret_access_key)(\s*=\s*|"\s*:\s*)('[^']*'|"[^"]*"|[^\s&'"]+)/gi, `$1$2${MASK}`)
}

/** A database's user without a password is part of a command that can be typed, and `USER:PASSWORD` is a pattern; elsewhere it may be a token. */
const maskedAuthority = (whole: string, scheme: string, password: string): string => ((password === '' || password === ':PASSWORD') && /^postgres(ql)?:/i.test(scheme) ? whole : `${scheme}${MASK}@`)

/** The same for every string inside a JSON-like value; the value itself stays as it is. */
export function redactValue<T>(value: T): T {
  if (typeof value === 'string') return redact(value) as T
  if (Array.isArray(value)) return value.map((item: unknown) => redactValue(item)) as T
  if (typeof value !== 'object' || value === null || value instanceof Date) return value
  return Object.fromEntries(Object.entries(value).map(([key, item]: [string, unknown]) => [key, redactValue(item)])) as T
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
