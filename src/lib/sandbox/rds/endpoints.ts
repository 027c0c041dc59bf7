import {once} from 'node:events'
import {connect, createServer, type AddressInfo, type Server, type Socket} from 'node:net'

/**
 * What DNS names are to the service: an address that belongs to the name of an instance, and leads to whichever instance has
 * that name. Here it is a port of 127.0.0.1 that forwards, so that clients find another server at the same address after a
 * rename.
 */
export class Endpoints {
  readonly #byName = new Map<string, Endpoint>()
  readonly #ports: Map<string, number>
  #isClosed = false

  /** `ports`: what names had formerly; they get the same again when nobody else has it now. */
  constructor(ports: Readonly<Record<string, number>> = {}) {
    this.#ports = new Map(Object.entries(ports))
  }

  /** The port of every name that ever led anywhere. */
  get ports(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#ports)
  }

  /** The port of this name, which leads to `target` from now on, or nowhere. Connections to another target are cut. */
  async lead(name: string, target: number | undefined): Promise<number> {
    // Work that has begun may come to its end after that.
    if (this.#isClosed) return this.#ports.get(name) ?? 0
    const known = this.#byName.get(name) ?? (await Endpoint.open(this.#ports.get(name)))
    this.#byName.set(name, known)
    this.#ports.set(name, known.port)
    known.target = target
    return known.port
  }

  /** The name leads nowhere any more; it keeps its port. */
  cut(name: string): void {
    const known = this.#byName.get(name)
    if (known) known.target = undefined
  }

  portOf(name: string): number | undefined {
    return this.#byName.get(name)?.port
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await Promise.all([...this.#byName.values()].map((endpoint) => endpoint.close()))
    this.#byName.clear()
  }
}

class Endpoint {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #target: number | undefined

  private constructor(server: Server) {
    this.#server = server
    server.on('connection', (socket) => { this.#forward(socket) })
  }

  static async open(port = 0): Promise<Endpoint> {
    const server = createServer()
    try {
      await once(server.listen(port, '127.0.0.1'), 'listening')
    } catch (error) {
      if (port === 0 || (error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error
      return Endpoint.open()
    }
    return new Endpoint(server)
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  set target(port: number | undefined) {
    if (port === this.#target) return
    this.#target = port
    for (const socket of this.#sockets) socket.destroy()
  }

  async close(): Promise<void> {
    this.target = undefined
    const closed = once(this.#server, 'close')
    this.#server.close()
    await closed
  }

  #forward(socket: Socket): void {
    if (this.#target === undefined) {
      socket.destroy()
      return
    }
    const onward = connect(this.#target, '127.0.0.1')
    for (const [one, other] of [[socket, onward], [onward, socket]] as const) {
      this.#sockets.add(one)
      one.on('error', () => { other.destroy() })
      one.on('close', () => {
        this.#sockets.delete(one)
        other.destroy()
      })
      one.pipe(other)
    }
  }
}
