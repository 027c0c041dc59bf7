import {realpathSync} from 'node:fs'

export interface ServiceServer {
  endpoint: string
  port: number
}

/**
 * Runs a server as a process of its own when `file` is what `node` was started with; imported, it does nothing. When it listens
 * it says so in a line of JSON, with its pid; SIGTERM and SIGINT end it.
 */
export function runAsService<Server extends ServiceServer>(file: string, start: () => Promise<Server>, end: (server: Server) => Promise<void>): void {
  if (!isEntry(file)) return
  serve(start, end).catch((error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
    process.exit(1)
  })
}

async function serve<Server extends ServiceServer>(start: () => Promise<Server>, end: (server: Server) => Promise<void>): Promise<void> {
  const server = await start()
  const stop = () => void end(server).then(() => process.exit(0))
  process.once('SIGTERM', stop)
  process.once('SIGINT', stop)
  process.stdout.write(`${JSON.stringify({endpoint: server.endpoint, port: server.port, pid: process.pid})}\n`)
}

function isEntry(file: string): boolean {
  try {
    return process.argv[1] !== undefined && realpathSync(process.argv[1]) === file
  } catch {
    return false
  }
}
