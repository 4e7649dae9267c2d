"""The flags of the released training commands, and the settings that they are here."""
