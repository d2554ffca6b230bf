namespace FineTuneService.Hub;

/// <summary>Network or hub fail, and went on failing when asked again: nobody's fault in the request, and it may pass.</summary>
public sealed class HubUnreachableException(string message, Exception? cause = null) : Exception(message, cause);
