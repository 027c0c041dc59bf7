import type {Client} from '../../src/lib/postgres/connection.ts'

export interface Watching {
  /** Before each statement, with how many came before it; what it throws is what the statement throws. */
  before?: (statement: string, index: number) => Promise<void>
  after?: (statement: string) => void
}

/** The client, with a look at each of its statements. */
export function watched(client: Client, {before, after}: Watching): Client {
  let index = 0
  return new Proxy(client, {
    get(target, property) {
      const value = Reflect.get(target, property) as unknown
      if (property !== 'query') return typeof value === 'function' ? (value as () => unknown).bind(target) : value
      return async (query: string | {text: string}, values?: unknown[]) => {
        const text = typeof query === 'string' ? query : query.text
        await before?.(text, index++)
        const result = await target.query(query as string, values)
        after?.(text)
        return result
      }
    },
  })
}
