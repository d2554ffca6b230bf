using System.Text.RegularExpressions;
using FineTuneService.Contracts;

namespace FineTuneService.Hub;

/// <summary>A model of the hub at a revision, as a user names it.</summary>
/// <param name="Id"><c>organisation/name</c>, or <c>name</c> alone for the oldest ones.</param>
/// <param name="Revision">A branch, a tag or a commit.</param>
public sealed partial record HubModel(string Id, string Revision)
{
    public const string DefaultRevision = "main";

    /// <summary>Whether the name could be one of the hub's; the rules are huggingface_hub's <c>validate_repo_id</c>.</summary>
    public static bool IsId(string name) =>
        name.Length <= 96 && IdPattern().IsMatch(name) && !name.Contains("--", StringComparison.Ordinal) && !name.Contains("..", StringComparison.Ordinal)
        && !name.EndsWith(".git", StringComparison.Ordinal);

    /// <exception cref="FaultException">When name or revision cannot be one.</exception>
    public static HubModel Parse(string id, string? revision)
    {
        var faults = new FaultList();
        faults.Require(IsId(id), "/base_model", id, "This is no id of the hub.", "Give organisation/name: letters, digits, '-', '_' and '.', 96 at most.");
        faults.Require(
            revision is null || IsRevision(revision), "/revision", revision, "This is no name of a revision.", "Give a branch, a tag or a commit, or leave it out for main.");
        faults.ThrowIfAny();
        return new(id, revision ?? DefaultRevision);
    }

    public static bool IsCommit(string revision) => CommitPattern().IsMatch(revision);

    /// <summary>A revision becomes a file in the cache: nothing in it may lead out of there.</summary>
    private static bool IsRevision(string revision) => revision.Length <= 200 && RevisionPattern().IsMatch(revision) && !revision.Contains("..", StringComparison.Ordinal);

    [GeneratedRegex(@"\A([A-Za-z0-9_][A-Za-z0-9_.-]*/)?[A-Za-z0-9_][A-Za-z0-9_.-]*(?<![.-])\z")]
    private static partial Regex IdPattern();

    [GeneratedRegex(@"\A[0-9a-f]{40}\z")]
    private static partial Regex CommitPattern();

    [GeneratedRegex(@"\A[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*\z")]
    private static partial Regex RevisionPattern();
}
