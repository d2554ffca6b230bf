namespace FineTuneService.Storage.Artifacts;

/// <summary>The store of artifacts cannot be reached, or does not let us in: nobody's fault who asks, and it can pass.</summary>
/// <param name="isRefused">It answers, and refuses: the credentials or the bucket are wrong.</param>
public sealed class ArtifactsAwayException(string message, bool isRefused, Exception inner) : Exception(message, inner)
{
    public bool IsRefused => isRefused;
}

/// <summary>What the store gave is not what was put there.</summary>
public sealed class ArtifactDamagedException(string name) : Exception($"{name} has changed in the artifact store since it was put there: its checksum is another.");
