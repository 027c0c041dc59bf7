import {endQuietly, type Client} from '../../postgres/connection.ts'

/** One connection that is made when it is needed, and made anew after an error or an abort has ended it. */
export class HeldClient {
  readonly #connect: () => Promise<Client>
  #client: Client | undefined

  constructor(connect: () => Promise<Client>) {
    this.#connect = connect
  }

  /** An abort ends it, in the middle of a statement too. */
  async use<T>(signal: AbortSignal, work: (client: Client) => Promise<T>): Promise<T> {
    signal.throwIfAborted()
    const client = this.#client ?? await this.#open()
    const end = () => {
      if (this.#client !== client) return
      this.#client = undefined
      void endQuietly(client)
    }
    signal.addEventListener('abort', end, {once: true})
    try {
      return await work(client)
    } catch (error) {
      // Half a COPY may be under way on it.
      end()
      signal.throwIfAborted()
      throw error
    } finally {
      signal.removeEventListener('abort', end)
    }
  }

  /** Noticed between two uses, too: while a question is asked the server may have gone, and come back. */
  async #open(): Promise<Client> {
    const client = await this.#connect()
    const forget = () => { if (this.#client === client) this.#client = undefined }
    client.once('error', forget).once('end', forget)
    this.#client = client
    return client
  }

  async end(): Promise<void> {
    const client = this.#client
    this.#client = undefined
    if (client) await endQuietly(client)
  }
}
