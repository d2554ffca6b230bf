/** A small drawing of few points in the unit square: shares against shares. */
export interface PlotLine {
  name: string;
  points: readonly (readonly [number, number])[];
  colour: number;
}

interface Props {
  title: string;
  x: string;
  y: string;
  lines: readonly PlotLine[];
  /** Also the line on which both are equal. */
  diagonal?: boolean;
  /** The drawing in words. */
  said: string;
}

const [width, height, left, bottom, top] = [360, 240, 44, 40, 10];
const across = (share: number) => left + share * (width - left - 10);
const ticks = [0, 0.25, 0.5, 0.75, 1];

export function Plot({ title, x, y, lines, diagonal = false, said }: Props) {
  const all = lines.flatMap(line => line.points.map(([, value]) => value));
  const floor = diagonal ? 0 : Math.max(0, Math.floor(10 * Math.min(...all)) / 10 - 0.05);
  const up = (value: number) => height - bottom - ((value - floor) / (1 - floor)) * (height - bottom - top);
  return (
    <figure class="chart">
      <figcaption>{title}</figcaption>
      <svg class="plot" viewBox={`0 0 ${width} ${height}`} role="img" aria-label={said}>
        {ticks.map(tick => (
          <g key={tick}>
            <line x1={across(tick)} x2={across(tick)} y1={top} y2={height - bottom} />
            <line x1={across(0)} x2={across(1)} y1={up(floor + tick * (1 - floor))} y2={up(floor + tick * (1 - floor))} />
            <text x={across(tick)} y={height - bottom + 14} text-anchor="middle">{tick}</text>
            <text x={left - 6} y={up(floor + tick * (1 - floor)) + 4} text-anchor="end">{(floor + tick * (1 - floor)).toFixed(2)}</text>
          </g>
        ))}
        {diagonal && <line class="ideal" x1={across(0)} y1={up(0)} x2={across(1)} y2={up(1)} />}
        {lines.map(line => (
          <g key={line.name} style={{ color: `var(--line-${line.colour})` }}>
            <polyline points={line.points.map(([at, value]) => `${across(at)},${up(value)}`).join(' ')} />
            {line.points.length <= 20 && line.points.map(([at, value], index) => <circle key={index} cx={across(at)} cy={up(value)} r={3} />)}
          </g>
        ))}
        <text x={(left + width) / 2} y={height - 6} text-anchor="middle">{x}</text>
        <text transform={`translate(11 ${(height - bottom) / 2}) rotate(-90)`} text-anchor="middle">{y}</text>
      </svg>
      {lines.length > 1 && <p class="hint">{lines.map(line => <span key={line.name}><span class="key" style={{ background: `var(--line-${line.colour})` }} /> {line.name} </span>)}</p>}
      <p class="hint">{said}</p>
    </figure>
  );
}
