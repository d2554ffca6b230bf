import { Refusal, type Fault } from '../api';

/** An error with everything that can be mended about it. */
export function Trouble({ error }: { error?: Error | undefined }) {
  if (!error) return null;
  return (
    <div role="alert" class="error">
      <p>{error.message}</p>
      {error instanceof Refusal && <Faults faults={error.faults} />}
    </div>
  );
}

export function Faults({ faults }: { faults: readonly Fault[] }) {
  return faults.length === 0 ? null : (
    <ul class="faults">
      {faults.map(fault => (
        <li key={fault.pointer + fault.message}>
          <code>{fault.pointer}</code>
          {fault.value !== null && fault.value !== undefined && <> (<q>{fault.value}</q>)</>}: {fault.message} {fault.remedy}
        </li>
      ))}
    </ul>
  );
}
