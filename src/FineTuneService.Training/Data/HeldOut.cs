using System.Buffers;
using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;

namespace FineTuneService.Training.Data;

/// <summary>Holds validation rows out of the training rows: the same for the same seed, equal rows never on both sides.</summary>
internal static class HeldOut
{
    /// <param name="key">Equal for rows that say the same, see <see cref="KeyOf"/>.</param>
    /// <param name="stratum">Held out in equal shares, such as a label; null where rows have none.</param>
    public static (List<T> Train, List<T> Validation) Split<T>(List<T> rows, double share, long seed, Func<T, UInt128> key, Func<T, string>? stratum = null)
    {
        var held = new bool[rows.Count];
        var groups = Enumerable.Range(0, rows.Count).GroupBy(row => key(rows[row])).Select(group => group.ToArray());
        // A group of equal rows counts to the stratum of its first.
        foreach (var members in groups.GroupBy(group => stratum?.Invoke(rows[group[0]]) ?? "").OrderBy(group => group.Key, StringComparer.Ordinal).Select(group => group.ToArray()))
        {
            var wanted = (int)Math.Round(share * members.Sum(group => group.Length), MidpointRounding.AwayFromZero);
            var order = EpochOrder.Of(members.Length, Contracts.TrainSamplingStrategy.Random, seed, epoch: -1);
            // The last group stays, so that every stratum has a row to learn from.
            foreach (var group in order.SkipLast(1).Select(at => members[at]))
                if (group.Length <= wanted)
                {
                    foreach (var row in group)
                        held[row] = true;
                    wanted -= group.Length;
                }
        }
        return (Where(false), Where(true));

        List<T> Where(bool side) => [.. rows.Where((_, row) => held[row] == side)];
    }

    /// <summary>The same for texts that differ in case and white space only; of fixed size, so that it can be kept where the text is not.</summary>
    public static UInt128 KeyOf(string text)
    {
        var letters = ArrayPool<char>.Shared.Rent(text.Length);
        var written = text.AsSpan().Trim().ToLowerInvariant(letters);
        var kept = 0;
        for (var at = 0; at < written; at++)
            if (!char.IsWhiteSpace(letters[at]))
                letters[kept++] = letters[at];
            else if (!char.IsWhiteSpace(letters[at - 1])) // The first is none.
                letters[kept++] = ' ';
        var bytes = ArrayPool<byte>.Shared.Rent(Encoding.UTF8.GetMaxByteCount(kept));
        var key = BinaryPrimitives.ReadUInt128BigEndian(SHA256.HashData(bytes.AsSpan(0, Encoding.UTF8.GetBytes(letters.AsSpan(0, kept), bytes))));
        ArrayPool<char>.Shared.Return(letters);
        ArrayPool<byte>.Shared.Return(bytes);
        return key;
    }
}
