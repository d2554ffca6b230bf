using System.Security.Cryptography;
using System.Text;
using System.Text.RegularExpressions;

namespace FineTuneService.Training.Data;

/// <summary>Holds validation rows out of the training rows: the same for the same seed, equal rows never on both sides.</summary>
internal static partial class HeldOut
{
    /// <param name="key">Equal for rows that say the same, see <see cref="KeyOf"/>.</param>
    /// <param name="stratum">Held out in equal shares, such as a label; null where rows have none.</param>
    public static (List<T> Train, List<T> Validation) Split<T>(List<T> rows, double share, long seed, Func<T, string> key, Func<T, string>? stratum = null) where T : class
    {
        var held = new HashSet<T>(ReferenceEqualityComparer.Instance);
        var groups = rows.GroupBy(key).Select(group => group.ToArray());
        // A group of equal rows counts to the stratum of its first.
        foreach (var members in groups.GroupBy(group => stratum?.Invoke(group[0]) ?? "").OrderBy(group => group.Key, StringComparer.Ordinal).Select(group => group.ToArray()))
        {
            var wanted = (int)Math.Round(share * members.Sum(group => group.Length), MidpointRounding.AwayFromZero);
            var order = EpochOrder.Of(members.Length, Contracts.TrainSamplingStrategy.Random, seed, epoch: -1);
            // The last group stays, so that every stratum has a row to learn from.
            foreach (var group in order.SkipLast(1).Select(at => members[at]))
                if (group.Length <= wanted)
                {
                    held.UnionWith(group);
                    wanted -= group.Length;
                }
        }
        return (rows.FindAll(row => !held.Contains(row)), rows.FindAll(held.Contains));
    }

    /// <summary>The same for texts that differ in case and white space only; of fixed size, so that it can be kept where the text is not.</summary>
    public static string KeyOf(string text) =>
        Convert.ToBase64String(SHA256.HashData(Encoding.UTF8.GetBytes(Spaces().Replace(text.Trim().ToLowerInvariant(), " "))));

    [GeneratedRegex(@"\s+")]
    private static partial Regex Spaces();
}
