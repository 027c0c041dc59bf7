import type {Readable} from 'node:stream'

/** An object at rest. Keys are relative to the repository root and use `/`. */
export interface StoredObject {
  key: string
  bytes: number
  modifiedAt: Date
  /** Of the whole object, hex, where the store keeps one that it has itself computed or verified. */
  sha256?: string
}

/**
 * How it is known that the destination holds the bytes that were sent.
 * `store-sha256`: the store verified SHA-256 itself (for a multipart object: of each part, and the composite of the parts agrees).
 * `reread`: every byte was read back and hashed.
 */
export type Proof = 'store-sha256' | 'reread'

export interface PutResult {
  bytes: number
  sha256: string
  proof: Proof
}

export interface PutOptions {
  signal?: AbortSignal
  /** Bytes of this object that have arrived so far. */
  progress?: (bytes: number) => void
  /** Only for a lease: replaces an existing object. Everything else is written once. */
  overwrite?: boolean
}

export interface ReadOptions {
  signal?: AbortSignal
  /** First byte, from 0. */
  offset?: number
}

/**
 * A place that holds backups. Every driver passes one contract suite. The obligations:
 * - Failure is always an error: `list` of an unreachable store throws, it never yields nothing.
 * - `put` and `putFile` are all or nothing: until they resolve, no reader sees the key; after a failure or an abort no part of it
 *   remains (unfinished multipart uploads are aborted). An existing key is an error (`storage.exists`) and stays as it is.
 * - They resolve only when the bytes at the destination are proven against the SHA-256 of what was sent.
 * - A stream from `read` that cannot be completed ends in an error, never early: its bytes always count up to the object's size.
 * - Temporary trouble (throttling, a cut connection, 5xx) is retried inside, a bounded number of times.
 * - Errors are `DrError`s: `storage.not-found`, `storage.exists` (exit 1), `storage.denied`, `storage.no-bucket`,
 *   `storage.unreachable`, `storage.corrupt` (verification); none holds a secret.
 */
export interface Storage {
  readonly kind: 'local' | 's3'
  /** For people and manifests: `s3://bucket/prefix` or an absolute path. No secrets. */
  readonly location: string
  /** Every object whose key begins with `prefix`, in key order (code units), however many there are. */
  list(prefix: string, options?: {signal?: AbortSignal}): AsyncIterable<StoredObject>
  /** The names directly below `prefix` (which ends with `/` or is empty), without it and without the slash, in order. */
  folders(prefix: string, options?: {signal?: AbortSignal}): Promise<string[]>
  /** Undefined when there is no such object. */
  stat(key: string, options?: {signal?: AbortSignal}): Promise<StoredObject | undefined>
  put(key: string, body: string | Buffer, options?: PutOptions): Promise<PutResult>
  /** The file may be taken over (linked, not copied): the caller no longer writes to it. Memory stays bounded at any size. */
  putFile(key: string, path: string, options?: PutOptions): Promise<PutResult>
  read(key: string, options?: ReadOptions): Promise<Readable>
  /** Removing what is not there is no error. */
  remove(key: string, options?: {signal?: AbortSignal}): Promise<void>
  /** Throws the error that any use would meet (bucket missing, access denied, folder not writable). Changes nothing that lasts. */
  check(options?: {signal?: AbortSignal}): Promise<void>
  close(): Promise<void>
}
