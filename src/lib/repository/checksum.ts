import {createHash, hash} from 'node:crypto'
import {open, type FileHandle} from 'node:fs/promises'

const BUFFER = 1024 * 1024

export interface Checksum {
  sha256: string
  bytes: number
}

export interface ChecksumOptions {
  signal?: AbortSignal
  /** Bytes read so far. */
  progress?: (bytes: number) => void
}

/** SHA-256, hex. */
export const sha256Of = (data: string | Uint8Array): string => hash('sha256', data, 'hex')

export async function sha256OfStream(stream: AsyncIterable<Uint8Array>, options: ChecksumOptions = {}): Promise<Checksum> {
  const digest = createHash('sha256')
  let bytes = 0
  for await (const chunk of stream) {
    options.signal?.throwIfAborted()
    digest.update(chunk)
    bytes += chunk.length
    options.progress?.(bytes)
  }
  return {sha256: digest.digest('hex'), bytes}
}

export async function sha256OfFile(path: string, options: ChecksumOptions = {}): Promise<Checksum> {
  const file = await open(path)
  try {
    return await sha256OfHandle(file, options)
  } finally {
    await file.close()
  }
}

/** From the beginning of the file, wherever the handle's own position is; it stays there. */
export async function sha256OfHandle(file: FileHandle, options: ChecksumOptions = {}): Promise<Checksum> {
  const digest = createHash('sha256')
  const buffer = Buffer.allocUnsafe(BUFFER)
  let bytes = 0
  for (;;) {
    options.signal?.throwIfAborted()
    const {bytesRead} = await file.read(buffer, 0, BUFFER, bytes)
    if (bytesRead === 0) return {sha256: digest.digest('hex'), bytes}
    digest.update(buffer.subarray(0, bytesRead))
    bytes += bytesRead
    options.progress?.(bytes)
  }
}
