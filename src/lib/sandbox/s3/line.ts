import type {ServerResponse} from 'node:http'
import type {FaultAction} from './faults.ts'
import type {Link} from './link.ts'

/** The connection is to be destroyed: there is nobody to answer. */
export class CutConnection extends Error {}

/** Made once: an error with its stack for each request would cost more than the rest of it. */
const closed = new CutConnection('The connection closed.')

/** The connection of one request: how fast it is, and what goes wrong on it. */
export class Line {
  readonly response: ServerResponse
  readonly link: Link
  /** Aborted when the connection closes. */
  readonly signal: AbortSignal
  fault: FaultAction | undefined
  #awaitsContinue: boolean

  constructor(response: ServerResponse, link: Link) {
    const controller = new AbortController()
    response.once('close', () => {
      controller.abort(closed)
    })
    response.on('error', () => undefined)
    this.response = response
    this.link = link
    this.signal = controller.signal
    this.#awaitsContinue = response.req.headers.expect !== undefined
  }

  /** A client that asked first may send its body now. */
  beginBody(): void {
    if (this.#awaitsContinue) this.response.writeContinue()
    this.#awaitsContinue = false
  }

  /** Before an error reply: the client that still waits for leave to send its body gets none. */
  refuseBody(): void {
    if (this.#awaitsContinue) this.response.setHeader('connection', 'close')
  }
}
