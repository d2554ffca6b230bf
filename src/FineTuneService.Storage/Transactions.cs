using System.Transactions;

namespace FineTuneService.Storage;

/// <summary>Transactions over several contexts, and over Hangfire's tables: whatever connection is opened inside one belongs to it, as long as no two are open at once.</summary>
public static class Transactions
{
    /// <summary>A new one, or a part of the one that is under way; undone unless completed.</summary>
    public static TransactionScope Begin() =>
        new(TransactionScopeOption.Required, new TransactionOptions { IsolationLevel = IsolationLevel.ReadCommitted }, TransactionScopeAsyncFlowOption.Enabled);
}
