using System.Numerics;

namespace FineTuneService.Training.DataQuality;

/// <summary>
/// Signatures whose bands tell which sets may be alike (Broder 1997; Leskovec, Rajaraman and Ullman, "Mining of Massive Datasets", 3.4):
/// two sets of similarity s share a band with probability 1 − (1 − s^r)^b.
/// </summary>
internal sealed class MinHash
{
    private const int Hashes = 128;

    private readonly uint[] _factors = new uint[Hashes], _terms = new uint[Hashes];

    /// <param name="similarity">From here on nearly all pairs are to share a band.</param>
    public MinHash(double similarity)
    {
        Rows = similarity switch { < 0.6 => 3, < 0.75 => 4, < 0.85 => 5, _ => 6 };
        var state = 0x2545F4914F6CDD1DUL;
        for (var at = 0; at < Hashes; at++)
            (_factors[at], _terms[at]) = (Next() | 1, Next());

        uint Next()
        {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            return (uint)(state >> 32);
        }
    }

    /// <summary>Numbers of a signature that a band has (r).</summary>
    public int Rows { get; }

    /// <summary>Bands of a signature (b).</summary>
    public int Bands => Hashes / Rows;

    /// <param name="set">Hashed evenly; not empty.</param>
    /// <param name="bands">One number for each band.</param>
    public void Sign(ReadOnlySpan<uint> set, Span<uint> bands)
    {
        Span<uint> least = stackalloc uint[Hashes];
        least.Fill(uint.MaxValue);
        foreach (var element in set)
        {
            var spread = new Vector<uint>(element);
            for (var at = 0; at < Hashes; at += Vector<uint>.Count)
                Vector.Min(new Vector<uint>(least[at..]), spread * new Vector<uint>(_factors, at) + new Vector<uint>(_terms, at)).CopyTo(least[at..]);
        }
        for (var band = 0; band < bands.Length; band++)
        {
            var hash = 17UL;
            foreach (var number in least.Slice(band * Rows, Rows))
                hash = (hash ^ number) * 0x9E3779B97F4A7C15;
            bands[band] = (uint)(hash >> 32);
        }
    }
}
